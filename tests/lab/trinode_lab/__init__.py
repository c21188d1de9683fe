"""The lab: real Talos machines in namespaces. See tests/lab/README.md."""
