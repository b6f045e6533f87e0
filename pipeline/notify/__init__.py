"""Tell people outside what became of promotions: Slack, mail, anything; and other programs.

::

    rule.py            which events a channel is told of
    text.py            an event as a notice: what happened, in words
    cloud_event.py     a notice as a CloudEvent, signed as Standard Webhooks are
    webhook_sender.py  ... sent to an address
    apprise_sender.py  a notice sent by apprise, in a process of its own (apprise_child.py)
    notifier.py        the outbox of one channel: collect, send, try again, give up

Nothing here is in the way of a promotion: each channel has a loop of its own in the worker.
"""
