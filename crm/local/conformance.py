"""`python -m crm.local.conformance SCRIPT`: runs a conformance script against the simulator, started for it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from crm.local.child import Child, LocalError
from crm.local.folder import HOST, PROJECT
from crm.local.stack import PLAN, START_SECONDS

ACCOUNT = {"sid": "AC" + "c" * 32, "auth_token": "c" * 32, "type": "Full", "numbers": ["+15005550006"]}


def main() -> int:
    """Return the script's exit status."""
    parser = argparse.ArgumentParser(prog="python -m crm.local.conformance", description=main.__doc__)
    parser.add_argument("script", type=Path, help="takes --base-url, --account-sid, --auth-token, --from and --to")
    script = parser.parse_args().script
    with TemporaryDirectory() as name:
        folder = Path(name)
        config, ready = folder / "config.json", folder / "ready.json"
        config.write_text(json.dumps({"accounts": [ACCOUNT], "default_phone": {"does": "manual"}}))
        command = [sys.executable, "-m", "integrations.simulator", "--host", HOST, "--port", "0"]
        command += ["--config", str(config), "--ready-file", str(ready)]
        simulator = Child("simulator", command, folder=folder, cwd=PROJECT, plan=PLAN)
        try:
            simulator.wait_until(ready.exists, seconds=START_SECONDS)
            arguments = ["--base-url", json.loads(ready.read_text())["url"]]
            arguments += ["--account-sid", str(ACCOUNT["sid"]), "--auth-token", str(ACCOUNT["auth_token"])]
            arguments += ["--from", ACCOUNT["numbers"][0], "--to", "+15005550020"]
            return subprocess.run([sys.executable, str(script), *arguments], check=False).returncode
        except LocalError as error:
            print(error, file=sys.stderr)
            return 1
        finally:
            simulator.stop()


if __name__ == "__main__":
    sys.exit(main())
