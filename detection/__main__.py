import sys

from boxray.cli.main import main

main(["detection", *sys.argv[1:]])
