import sys

from boxray.cli.main import main

main(["data", *sys.argv[1:]])
