"""What the bundle starts: the same server as the command `mcp-agent-eval`."""

from mcp_agent_eval.__main__ import main

main()
