import sys

from boxray.cli.main import main

main(["classification", *sys.argv[1:]])
