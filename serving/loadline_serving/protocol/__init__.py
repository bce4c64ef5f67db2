"""How are tensors written and read in each encoding of the Open Inference Protocol?"""
