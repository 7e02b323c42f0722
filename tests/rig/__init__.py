"""The live test rig: interpreters to test against, programs to read, and the tool that reads them."""
