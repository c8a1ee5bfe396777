"""Callbacks: telling a client's own server how its task went, signed, and tried again.

Behind the store, beside the air: what is to be told is a row that the store writes together with
the task's change, and threads of the studio deliver it. No receiver can hold up anything.
"""
