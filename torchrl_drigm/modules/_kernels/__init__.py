"""Functions on tensors that layers are made of: products, look-up, recurrences.

The lowest of three floors: kernels know tensors alone, layers (``models/_agent_linear.py``, the
recurrent cores, the encoder of joint actions) are made of kernels, networks (``DRQN``, QTRAN's, the
dual) of layers. Nothing imports from a floor above its own.
"""
