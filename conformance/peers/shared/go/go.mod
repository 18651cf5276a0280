module orthrus/conformance/peers/shared/go

go 1.19
