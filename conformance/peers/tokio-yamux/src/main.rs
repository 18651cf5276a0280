//! A yamuxspec peer around the crate tokio-yamux (tentacle).
//!
//!     peer --mode echo --address tcp://127.0.0.1:4000 [--role server]
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::net::TcpStream;
use tokio_yamux::config::Config;
use tokio_yamux::session::{Session, SessionType};
use tokio_yamux::stream::StreamHandle;

struct Link {
    session: Session<TcpStream>,
    closing: bool,
}

impl peer::Session for Link {
    type Stream = StreamHandle;

    fn poll_accept(&mut self, cx: &mut Context) -> Poll<Option<StreamHandle>> {
        Pin::new(&mut self.session).poll_next(cx).map(|next| next?.ok())
    }

    fn poll_open(&mut self, _: &mut Context) -> Poll<Result<StreamHandle, String>> {
        Poll::Ready(self.session.open_stream().map_err(|error| error.to_string()))
    }

    /// The session says that it goes away, and ends when the other side says
    /// so too, or after a while.
    fn poll_close(&mut self, cx: &mut Context) -> Poll<()> {
        if !self.closing {
            self.closing = true;
            let _ = self.session.shutdown(cx);
        }
        while let Poll::Ready(next) = Pin::new(&mut self.session).poll_next(cx) {
            if !matches!(next, Some(Ok(_))) {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}

fn main() {
    peer::run(|socket, client| {
        let kind = if client { SessionType::Client } else { SessionType::Server };
        Link { session: Session::new(socket, Config::default(), kind), closing: false }
    });
}
