// SPDX-License-Identifier: BSD-2-Clause
// Serves a page over TCP and echoes datagrams on the same port: both PORT.
use std::io::{Read, Result, Write};
use std::net::{IpAddr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::thread;

fn serve(mut stream: TcpStream) -> Result<()> {
    let (client, server) = (stream.peer_addr()?.ip(), stream.local_addr()?.ip());
    stream.read(&mut [0; 4096])?;
    write!(stream, "HTTP/1.0 200 OK\r\n\r\nclient={client} server={server}\n")
}

fn echo(socket: UdpSocket) -> Result<()> {
    let mut buffer = [0; 65536];
    loop {
        let (count, peer) = socket.recv_from(&mut buffer)?;
        let mut answer = buffer[..count].to_vec();
        write!(answer, "client={}\n", peer.ip())?;
        socket.send_to(&answer, peer)?;
    }
}

fn main() -> Result<()> {
    let port: u16 = std::env::args().nth(1).unwrap().parse().unwrap();
    let any = (IpAddr::from(Ipv6Addr::UNSPECIFIED), port);
    let socket = UdpSocket::bind(any)?;
    thread::spawn(move || echo(socket));
    for stream in TcpListener::bind(any)?.incoming() {
        let stream = stream?;
        thread::spawn(move || serve(stream));
    }
    Ok(())
}
