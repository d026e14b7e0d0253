"""The part of MicroPython's umqtt.simple that a credential card uses, for any Python.

As there, what is no ASCII has to be bytes: a str would be measured in characters.
"""

import socket
import struct


class MQTTClient:
    def __init__(self, client_id, server, port=0, user=None, password=None, keepalive=0, ssl=None):
        for text in (client_id, user, password):
            assert isinstance(text, bytes)
        self.server, self.port, self.ssl, self.keepalive = server, port, ssl, keepalive
        self.texts = [client_id, user, password]
        self.packet_id = 0

    def set_callback(self, callback):
        self.callback = callback

    def connect(self):
        self.sock = socket.create_connection((self.server, self.port))
        if self.ssl:
            self.sock = self.ssl.wrap_socket(self.sock, server_hostname=self.server)
        texts = b"".join(with_length(text) for text in self.texts)
        self.send(0x10, with_length(b"MQTT") + struct.pack("!BBH", 4, 0xC2, self.keepalive) + texts)
        kind, body = self.receive()
        if kind != 0x20 or body[1] != 0:
            raise OSError("CONNACK %d" % body[1])

    def subscribe(self, topic, qos=0):
        assert isinstance(topic, bytes)
        self.packet_id += 1
        self.send(0x82, struct.pack("!H", self.packet_id) + with_length(topic) + bytes([qos]))
        while True:
            kind, body = self.receive()
            if kind == 0x90:
                assert body[2] != 0x80
                return
            self.handle(kind, body)

    def publish(self, topic, payload, retain=False, qos=0):
        assert isinstance(topic, bytes) and isinstance(payload, bytes) and qos == 1
        self.packet_id += 1
        packet_id = struct.pack("!H", self.packet_id)
        self.send(0x32 | retain, with_length(topic) + packet_id + payload)
        while True:
            kind, body = self.receive()
            if kind == 0x40 and body == packet_id:
                return
            self.handle(kind, body)

    def wait_msg(self):
        self.handle(*self.receive())

    def handle(self, kind, body):
        if kind & 0xF0 != 0x30:
            return
        end = 2 + struct.unpack("!H", body[:2])[0]
        start = end
        if kind & 6:
            start += 2
            self.send(0x40, body[end:start])
        self.callback(body[2:end], body[start:])

    def send(self, kind, body):
        length, left = b"", len(body)
        while True:
            left, digit = left // 128, left % 128
            length += bytes([digit | 0x80 if left else digit])
            if not left:
                break
        self.sock.sendall(bytes([kind]) + length + body)

    def receive(self):
        kind = self.read(1)[0]
        length, shift = 0, 0
        while True:
            digit = self.read(1)[0]
            length |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                return kind, self.read(length)

    def read(self, count):
        data = b""
        while len(data) < count:
            chunk = self.sock.recv(count - len(data))
            if not chunk:
                raise OSError("the connection ended")
            data += chunk
        return data


def with_length(text):
    return struct.pack("!H", len(text)) + text
