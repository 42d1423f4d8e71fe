"""Child process of the tests: it reports its arguments, mask of new files and environment, and then holds the GIL."""

import ctypes
import json
import os
import sys

if __name__ == "__main__":
    mask = os.umask(0)
    print(json.dumps({"arguments": sys.argv[1:], "mask": mask, "environment": dict(os.environ)}), flush=True)
    ctypes.PyDLL(None).sleep(600)
