//! The modes and the commands.
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::{split, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::Handle;

const PERIOD: usize = 251;

thread_local! {
    /// What was seen of each labelled stream: bytes, and how it ended.
    static NOTES: RefCell<HashMap<String, (u64, &'static str)>> = RefCell::default();
}

fn note(label: &str, bytes: u64, end: &'static str) {
    if label != "-" {
        NOTES.with(|notes| notes.borrow_mut().insert(label.into(), (bytes, end)));
    }
}

fn number(words: &[String], at: usize) -> u64 {
    words.get(at).and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn word(words: &[String], at: usize) -> &str {
    words.get(at).map_or("-", |word| word)
}

/// The word for how reading came to its end.
fn ending(result: &io::Result<()>) -> &'static str {
    match result {
        Ok(()) => "eof",
        Err(error) if error.kind() == ErrorKind::ConnectionReset => "reset",
        Err(_) => "error",
    }
}

/// Serves one stream of the other side.
pub(crate) async fn run<S>(mut stream: S, mode: String, session: Handle<S>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let _ = match mode.as_str() {
        "app" | "opener" => match line(&mut stream).await {
            Ok(words) => command(stream, words, session).await,
            Err(error) => Err(error),
        },
        _ => behave(stream, &mode).await,
    };
}

/// The words of the first line; a byte at a time, so that no more is taken.
async fn line(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<String>> {
    let mut text = String::new();
    loop {
        match stream.read_u8().await? {
            b'\n' => return Ok(text.split(' ').map(String::from).collect()),
            byte => text.push(byte.into()),
        }
    }
}

async fn behave<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, mode: &str) -> io::Result<()> {
    match mode {
        "echo" => echo(stream, &mut 0).await,
        "source" => {
            let (mut reader, mut writer) = split(stream);
            let mut bytes = 0;
            let read = count(&mut reader, &mut bytes);
            tokio::join!(read, pattern(&mut writer, u64::MAX)).1
        }
        "sink" => {
            count(&mut stream, &mut 0).await?;
            stream.shutdown().await
        }
        _ => {
            std::future::pending::<()>().await;
            stream.shutdown().await // never: it keeps the stream
        }
    }
}

async fn echo<S: AsyncRead + AsyncWrite>(stream: S, bytes: &mut u64) -> io::Result<()> {
    let (mut reader, mut writer) = split(stream);
    let mut buffer = vec![0; 32768];
    loop {
        let count = reader.read(&mut buffer).await?;
        if count == 0 {
            return writer.shutdown().await;
        }
        *bytes += count as u64;
        writer.write_all(&buffer[..count]).await?;
        writer.flush().await?;
    }
}

/// Reads to the end.
async fn count(reader: &mut (impl AsyncRead + Unpin), bytes: &mut u64) -> io::Result<()> {
    let mut buffer = vec![0; 32768];
    loop {
        let count = reader.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        *bytes += count as u64;
    }
}

/// Byte i is i mod 251.
async fn pattern(writer: &mut (impl AsyncWrite + Unpin), mut bytes: u64) -> io::Result<()> {
    let whole: Vec<u8> = (0..PERIOD * 1024).map(|i| (i % PERIOD) as u8).collect();
    while bytes > 0 {
        let count = bytes.min(whole.len() as u64);
        writer.write_all(&whole[..count as usize]).await?;
        bytes -= count;
    }
    writer.flush().await
}

/// Reads to the end, notes how that came, finishes.
async fn watch<S>(mut stream: S, label: &str, wait: u64) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    note(label, 0, "open");
    sleep(Duration::from_millis(wait)).await;
    let mut bytes = 0;
    let result = count(&mut stream, &mut bytes).await;
    note(label, bytes, ending(&result));
    stream.shutdown().await
}

/// Answers one line and finishes.
async fn answer(mut stream: impl AsyncWrite + Unpin, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}

async fn command<S>(mut stream: S, words: Vec<String>, session: Handle<S>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    match word(&words, 0) {
        mode @ ("echo" | "sink" | "hold" | "source") => behave(stream, mode).await,
        "open" => open(stream, &words, session).await,
        "watch" => watch(stream, word(&words, 1), number(&words, 2)).await,
        "report" => {
            let label = word(&words, 1);
            let found = NOTES.with(|notes| notes.borrow().get(label).copied());
            let (bytes, end) = found.unwrap_or((0, "unknown"));
            answer(stream, &format!("{bytes} {end}\n")).await
        }
        "write" => {
            pattern(&mut stream, number(&words, 1)).await?;
            stream.shutdown().await?;
            count(&mut stream, &mut 0).await
        }
        "finish" => {
            stream.shutdown().await?;
            watch(stream, word(&words, 1), 0).await
        }
        "close" => stream.shutdown().await,
        "reset" => Ok(()), // dropped
        "shutdown" => shutdown(stream, &words, session).await,
        _ => answer(stream, "unsupported\n").await,
    }
}

async fn shutdown<S>(mut stream: S, words: &[String], session: Handle<S>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    if words.len() > 1 {
        let bytes = number(words, 1);
        spawn_local(async move {
            let _ = pattern(&mut stream, bytes).await;
            std::future::pending::<()>().await;
        });
        sleep(Duration::from_millis(200)).await;
    } else {
        stream.shutdown().await?;
        count(&mut stream, &mut 0).await?;
    }
    session.close();
    Ok(())
}

async fn open<S>(mut stream: S, words: &[String], session: Handle<S>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (bytes, then) = (number(words, 2), word(words, 3).to_string());
    let mut label = word(words, 4).to_string();
    for _ in 0..number(words, 1) {
        match session.open().await {
            Ok(opened) => {
                note(&label, 0, "open");
                spawn_local(serve_opened(opened, bytes, then.clone(), label));
                label = "-".into();
            }
            Err(error) => return answer(stream, &format!("failed {error}\n")).await,
        }
    }
    stream.write_all(format!("opened {}\n", number(words, 1)).as_bytes()).await?;
    stream.flush().await?;
    count(&mut stream, &mut 0).await?;
    stream.shutdown().await
}

async fn serve_opened<S>(mut stream: S, bytes: u64, then: String, label: String)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let written = pattern(&mut stream, bytes).await;
    let _ = match then.as_str() {
        _ if written.is_err() => {
            note(&label, 0, ending(&written));
            Ok(())
        }
        "watch" => watch(stream, &label, 0).await,
        "echo" => {
            let mut copied = 0;
            let result = echo(stream, &mut copied).await;
            note(&label, copied, ending(&result));
            result
        }
        _ => Ok(()), // reset: dropped
    };
}
