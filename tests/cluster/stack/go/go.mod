module laurel/cluster

go 1.26
