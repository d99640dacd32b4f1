# SPDX-License-Identifier: BSD-2-Clause
# Packages: default-jdk-headless
"""Java NIO: a ServerSocketChannel in a selector, dual-stack and with the IPv4 stack."""
import subprocess

import pytest

from compat.server import check_all, version
from support import require
from support.world import V4, V6

SERVER = """
import java.net.*;
import java.nio.*;
import java.nio.channels.*;
import java.nio.charset.StandardCharsets;

public class Server {
  static String host(SocketAddress address) {
    return ((InetSocketAddress) address).getAddress().getHostAddress();
  }

  static void answer(SocketChannel channel) throws Exception {
    ByteBuffer request = ByteBuffer.allocate(4096);
    channel.read(request);
    String page = "HTTP/1.0 200 OK\\r\\n\\r\\nclient=" + host(channel.getRemoteAddress())
        + " server=" + host(channel.getLocalAddress()) + "\\n";
    channel.write(ByteBuffer.wrap(page.getBytes(StandardCharsets.US_ASCII)));
    channel.close();
  }

  public static void main(String[] words) throws Exception {
    Selector selector = Selector.open();
    ServerSocketChannel server = ServerSocketChannel.open();
    server.bind(new InetSocketAddress(80), 512);
    server.configureBlocking(false);
    server.register(selector, SelectionKey.OP_ACCEPT);
    while (selector.select() >= 0) {
      for (SelectionKey key : selector.selectedKeys()) {
        try {
          if (key.isAcceptable()) {
            SocketChannel channel = server.accept();
            if (channel == null) continue;
            channel.configureBlocking(false);
            channel.register(selector, SelectionKey.OP_READ);
          } else {
            key.cancel();
            answer((SocketChannel) key.channel());
          }
        } catch (java.io.IOException gone) {
          key.channel().close();
        }
      }
      selector.selectedKeys().clear();
    }
  }
}
"""
FRUGAL = ("-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


@pytest.mark.parametrize("name,options,served,also", [
    ("Java NIO", [], (V4, V6), "dual-stack `ServerSocketChannel`"),
    ("Java NIO, IPv4 stack", ["-Djava.net.preferIPv4Stack=true"], (V4,), "`-Djava.net.preferIPv4Stack=true`"),
], ids=["dual-stack", "ipv4"])
def test_java_nio(world, daemon, service, row, tmp_path, name, options, served, also):
    java = require.command("java")
    (tmp_path / "Server.java").write_text(SERVER)
    subprocess.run([require.command("javac"), "-J-Xmx64m", "-J-XX:TieredStopAtLevel=1", "-d", tmp_path,
                    tmp_path / "Server.java"], check=True, timeout=120)
    check_all(world, daemon, service, [java, *FRUGAL, *options, "-cp", tmp_path, "Server"], graceful=False,
              served=served)
    row(name, version(java, "-version"), also)
