"""Clusters of kind, the Kubernetes project's own "Kubernetes in Docker", with the lab's images and charts."""
