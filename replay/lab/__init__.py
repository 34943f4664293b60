"""The recording bench: a real server behind a real NAPI on one machine of two CPUs.

A memcached answers on CPU 1, reached over a pair of virtual Ethernet devices whose server end
polls by NAPI; an open-loop client on CPU 0 sends it requests. Policies are applied to the
running server from outside, and what they do is counted or recorded by the kernel itself.
"""
