//! A yamuxspec peer around the crate yamux: echo, sink, hold and source.
//!
//! rust-peer MODE ROLE HOST:PORT
use std::net::SocketAddr;

use futures::{future, AsyncReadExt, AsyncWriteExt};
use tokio_util::compat::TokioAsyncReadCompatExt;
use yamux::{Config, Connection, Mode, Stream};

async fn copy_back(stream: Stream) -> std::io::Result<()> {
    let (mut reader, mut writer) = stream.split();
    let mut buffer = vec![0; 32768];
    loop {
        let count = reader.read(&mut buffer).await?;
        if count == 0 {
            return writer.close().await;
        }
        writer.write_all(&buffer[..count]).await?;
        writer.flush().await?;
    }
}

async fn sink(reader: &mut (impl futures::AsyncRead + Unpin)) -> std::io::Result<()> {
    let mut buffer = vec![0; 32768];
    while reader.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Byte i of the stream is i mod 251; a buffer is a whole number of periods.
async fn source(stream: Stream) -> std::io::Result<()> {
    let pattern: Vec<u8> = (0..251 * 1024).map(|i| (i % 251) as u8).collect();
    let (mut reader, mut writer) = stream.split();
    let write = async {
        loop {
            writer.write_all(&pattern).await?;
        }
    };
    let (_, written): (_, std::io::Result<()>) = future::join(sink(&mut reader), write).await;
    written
}

async fn behave(mut stream: Stream, mode: String) {
    let _ = match mode.as_str() {
        "echo" => copy_back(stream).await,
        "source" => source(stream).await,
        "sink" => match sink(&mut stream).await {
            Ok(()) => stream.close().await,
            error => error,
        },
        _ => {
            future::pending::<()>().await;
            drop(stream);
            Ok(())
        }
    };
}

async fn serve(socket: tokio::net::TcpStream, mode: String, side: Mode) {
    let mut connection = Connection::new(socket.compat(), Config::default(), side);
    let tasks = tokio::task::LocalSet::new();
    tasks
        .run_until(async {
            // an error ends the library's own session, and with it ours
            while let Some(Ok(stream)) =
                future::poll_fn(|cx| connection.poll_next_inbound(cx)).await
            {
                tokio::task::spawn_local(behave(stream, mode.clone()));
            }
        })
        .await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().collect();
    let [_, mode, role, address] = &words[..] else {
        eprintln!("usage: rust-peer MODE ROLE HOST:PORT");
        std::process::exit(2);
    };
    let side = if role == "client" { Mode::Client } else { Mode::Server };
    let address: SocketAddr = address.parse().expect("HOST:PORT");
    let listener = tokio::net::TcpListener::bind(address).await?;
    let everything = tokio::task::LocalSet::new();
    everything
        .run_until(async {
            loop {
                let (socket, _) = listener.accept().await?;
                socket.set_nodelay(true)?;
                tokio::task::spawn_local(serve(socket, mode.clone(), side));
            }
        })
        .await
}
