"""Software bills of materials: what an image or a system consists of, in the forms that scanners and auditors read."""
