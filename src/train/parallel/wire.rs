//! Message frames on a TCP stream: a kind, a length, bytes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Reading and writing wake up at this interval to check whether they should continue.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// The longest frame, in bytes.
const LONGEST: u32 = 1 << 20;

/// A frame: its kind, and its bytes.
pub(super) type WireFrame = (u8, Vec<u8>);

/// Configures a stream for small frames and periodic wake-ups.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TICK))?;
    stream.set_write_timeout(Some(TICK))
}

/// Whether a read or a write only took longer than [`TICK`].
fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Fills `bytes`; `pulse` is called at every [`TICK`] without a byte, with the number of them in a row, and ends the
/// wait by failing.
pub(super) fn read(
    stream: &mut impl Read,
    bytes: &mut [u8],
    pulse: &mut dyn FnMut(u32) -> io::Result<()>,
) -> io::Result<()> {
    through(bytes.len(), ErrorKind::UnexpectedEof, pulse, |done| stream.read(&mut bytes[done..]))
}

/// Writes all of `bytes`, with `pulse` as in [`read`].
pub(super) fn write(
    stream: &mut impl Write,
    bytes: &[u8],
    pulse: &mut dyn FnMut(u32) -> io::Result<()>,
) -> io::Result<()> {
    through(bytes.len(), ErrorKind::WriteZero, pulse, |done| stream.write(&bytes[done..]))
}

/// Transfers `all` bytes, some at a time; transferring none is the end of the stream.
fn through(
    all: usize,
    end: ErrorKind,
    pulse: &mut dyn FnMut(u32) -> io::Result<()>,
    mut some: impl FnMut(usize) -> io::Result<usize>,
) -> io::Result<()> {
    let (mut done, mut silent) = (0, 0);
    while done < all {
        match some(done) {
            Ok(0) => return Err(end.into()),
            Ok(n) => (done, silent) = (done + n, 0),
            Err(e) if waits(&e) => {
                silent += 1;
                pulse(silent)?;
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// A frame as bytes.
pub(super) fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend((payload.len() as u32).to_le_bytes());
    bytes.extend(payload);
    bytes
}

/// Waits for a frame.
pub(super) fn read_frame(
    stream: &mut impl Read,
    pulse: &mut dyn FnMut(u32) -> io::Result<()>,
) -> io::Result<WireFrame> {
    let mut head = [0; 5];
    read(stream, &mut head, pulse)?;
    let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
    if length > LONGEST {
        return Err(io::Error::new(ErrorKind::InvalidData, "it is not a message of a rank"));
    }
    let mut payload = vec![0; length as usize];
    read(stream, &mut payload, pulse)?;
    Ok((head[0], payload))
}

/// Gives up after this many pulses.
pub(super) fn patience(ticks: u32) -> impl FnMut(u32) -> io::Result<()> {
    move |silent| if silent > ticks { Err(ErrorKind::TimedOut.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back_and_half_of_one_is_an_end() {
        let bytes = frame(7, b"words");
        let back = read_frame(&mut &bytes[..], &mut patience(0)).expect("whole");
        assert_eq!(back, (7, b"words".to_vec()));
        let half = read_frame(&mut &bytes[..8], &mut patience(0)).expect_err("half");
        assert_eq!(half.kind(), ErrorKind::UnexpectedEof);
        let strange = read_frame(&mut &b"HTTP/1.1 400"[..], &mut patience(0)).expect_err("no frame");
        assert_eq!(strange.kind(), ErrorKind::InvalidData);
    }
}
