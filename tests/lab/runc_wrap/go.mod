module trinode.platform/lab/runc_wrap

go 1.26
