"""A program that starts the services in a folder, says where they are as one JSON line, and waits to be ended.

It handles no signal: whatever ends it, somebody else has to end the servers.
"""

import json
import sys
import time
from pathlib import Path

from crm.local import services

runs = services.start(Path(sys.argv[1]))
sys.stdout.write(json.dumps(runs.services.environment() | {"pids": [child.pid for child in runs.children]}) + "\n")
sys.stdout.flush()
time.sleep(600)
