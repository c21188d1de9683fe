module trinode.lab/balancer

go 1.26
