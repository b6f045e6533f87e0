"""Carry out one promotion, durably; read :mod:`pipeline.promote` first.

``resolve > check > lock > build > smoke > sign > verify > canary > complete | rollback > record``
"""
