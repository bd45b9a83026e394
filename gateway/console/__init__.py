"""The control plane: the ledger's only writer, and the API that operators, analysts and programs speak to."""
