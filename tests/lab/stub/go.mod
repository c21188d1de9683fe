module trinode.platform/lab/stub

go 1.26
