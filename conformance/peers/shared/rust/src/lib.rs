//! A yamuxspec peer (docs/yamuxspec.md) but for the yamux library: a program
//! hands `run` what makes a session of its library on a connection.
//!
//! A library of these hands every stream to its user, so there is no mode
//! noaccept; and none can drain or choose an id. A stream that is dropped
//! before it is finished is reset.
mod app;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;

/// What the application needs of a session.
pub trait Session: 'static {
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;

    /// Drives the session; the next stream of the other side, None at the end.
    fn poll_accept(&mut self, cx: &mut Context) -> Poll<Option<Self::Stream>>;
    fn poll_open(&mut self, cx: &mut Context) -> Poll<Result<Self::Stream, String>>;
    fn poll_close(&mut self, cx: &mut Context) -> Poll<()>;
}

type Opened<S> = Result<S, String>;

enum Request<S> {
    Open(oneshot::Sender<Opened<S>>),
    Close,
}

/// What a stream's application may ask of its session.
pub(crate) struct Handle<S>(mpsc::UnboundedSender<Request<S>>);

impl<S> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Handle(self.0.clone())
    }
}

impl<S> Handle<S> {
    pub(crate) async fn open(&self) -> Opened<S> {
        let (sender, receiver) = oneshot::channel();
        let _ = self.0.send(Request::Open(sender));
        receiver.await.unwrap_or(Err("the session has ended".into()))
    }

    pub(crate) fn close(&self) {
        let _ = self.0.send(Request::Close);
    }
}

/// One session and what is asked of it.
struct Driver<T: Session> {
    session: T,
    requests: mpsc::UnboundedReceiver<Request<T::Stream>>,
    opening: VecDeque<oneshot::Sender<Opened<T::Stream>>>,
    closing: bool,
}

impl<T: Session> Driver<T> {
    /// The next stream to serve; None when the session has ended.
    fn poll(&mut self, cx: &mut Context) -> Poll<Option<T::Stream>> {
        while let Poll::Ready(Some(request)) = self.requests.poll_recv(cx) {
            match request {
                Request::Open(sender) => self.opening.push_back(sender),
                Request::Close => self.closing = true,
            }
        }
        if self.closing {
            return self.session.poll_close(cx).map(|()| None);
        }
        while let Some(sender) = self.opening.pop_front() {
            match self.session.poll_open(cx) {
                Poll::Ready(opened) => drop(sender.send(opened)),
                Poll::Pending => {
                    self.opening.push_front(sender);
                    break;
                }
            }
        }
        self.session.poll_accept(cx)
    }
}

async fn serve<T: Session>(session: T, mode: String) {
    let (sender, requests) = mpsc::unbounded_channel();
    let mut driver = Driver { session, requests, opening: VecDeque::new(), closing: false };
    while let Some(stream) = poll_fn(|cx| driver.poll(cx)).await {
        spawn_local(app::run(stream, mode.clone(), Handle(sender.clone())));
    }
}

/// The value of `--name`.
fn flag(name: &str) -> Option<String> {
    std::env::args().skip_while(|word| word != name).nth(1)
}

/// Reads the command line and serves until it is ended; begin makes a session,
/// as the client when its second argument says so.
pub fn run<T: Session>(begin: fn(TcpStream, bool) -> T) {
    let mode = flag("--mode").unwrap_or("echo".into());
    let client = flag("--role").as_deref() == Some("client");
    let address = flag("--address").unwrap_or_default();
    let Some(place) = address.strip_prefix("tcp://") else {
        eprintln!("--address {address}: tcp://HOST:PORT");
        std::process::exit(2);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listen = async {
        let listener = TcpListener::bind(place).await.expect("cannot listen");
        loop {
            let (socket, _) = listener.accept().await.expect("cannot accept");
            let _ = socket.set_nodelay(true);
            spawn_local(serve(begin(socket, client), mode.clone()));
        }
    };
    tokio::task::LocalSet::new().block_on(&runtime, listen);
}
