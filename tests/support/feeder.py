#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""feeder.py PATH PORT ADDRESS...: accepts TCP connections there and hands each over: one datagram to the Unix socket at
PATH, with one byte and the descriptor. It waits for room in the receiver's queue, and for the receiver: none is lost."""
import ipaddress
import socket
import sys
import threading
import time


def listen(address, port):
    version = ipaddress.ip_address(address).version
    listener = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(4096)
    return listener


def hand_over(path, connection):
    while True:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            try:
                sender.connect(path)
                socket.send_fds(sender, [b"A"], [connection.fileno()])  # blocks while the queue is full
                return
            except (FileNotFoundError, ConnectionError):
                time.sleep(0.05)


def feed(listener, path):
    while True:
        connection, _ = listener.accept()
        with connection:
            hand_over(path, connection)


listeners = [listen(address, int(sys.argv[2])) for address in sys.argv[3:]]
threads = [threading.Thread(target=feed, args=(listener, sys.argv[1])) for listener in listeners]
for thread in threads:
    thread.start()
