//! A yamuxspec peer around the crate yamux (libp2p/rust-yamux).
//!
//!     peer --mode echo --address tcp://127.0.0.1:4000 [--role server]
use std::task::{Context, Poll};

use peer::Session;
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};
use yamux::{Config, Connection, Mode, Stream};

struct Link(Connection<Compat<TcpStream>>);

impl Session for Link {
    type Stream = Compat<Stream>;

    fn poll_accept(&mut self, cx: &mut Context) -> Poll<Option<Self::Stream>> {
        // after an error the library has ended its session, and ours with it
        self.0.poll_next_inbound(cx).map(|next| next?.ok().map(Stream::compat))
    }

    fn poll_open(&mut self, cx: &mut Context) -> Poll<Result<Self::Stream, String>> {
        let opened = self.0.poll_new_outbound(cx);
        opened.map(|opened| opened.map(Stream::compat).map_err(|error| error.to_string()))
    }

    fn poll_close(&mut self, cx: &mut Context) -> Poll<()> {
        self.0.poll_close(cx).map(|_| ())
    }
}

fn main() {
    peer::run(|socket, client| {
        let mode = if client { Mode::Client } else { Mode::Server };
        Link(Connection::new(socket.compat(), Config::default(), mode))
    });
}
