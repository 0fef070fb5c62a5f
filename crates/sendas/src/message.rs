//! What may be sent as a message.

use sendas_submit::{Message, MessageError};

/// Something that can be sent: RFC 5322 octets, header and body.
///
/// Text (`&str`, `String`) may have the line ends of the machine; they become CRLF. Octets
/// (`Vec<u8>`, `&[u8]`) must be in wire form already, as mail builders write them: a bare CR or LF is
/// an error, because two servers may disagree about it.
pub trait IntoMessage {
    /// The message.
    ///
    /// # Errors
    /// [`MessageError`].
    fn into_message(self) -> Result<Message, MessageError>;
}

impl IntoMessage for Message {
    fn into_message(self) -> Result<Message, MessageError> {
        Ok(self)
    }
}

impl IntoMessage for &Message {
    fn into_message(self) -> Result<Message, MessageError> {
        Ok(self.clone())
    }
}

impl IntoMessage for &str {
    fn into_message(self) -> Result<Message, MessageError> {
        Message::from_text(self.as_bytes())
    }
}

impl IntoMessage for String {
    fn into_message(self) -> Result<Message, MessageError> {
        self.as_str().into_message()
    }
}

impl IntoMessage for Vec<u8> {
    fn into_message(self) -> Result<Message, MessageError> {
        Message::new(self)
    }
}

impl IntoMessage for &[u8] {
    fn into_message(self) -> Result<Message, MessageError> {
        Message::new(self.to_vec())
    }
}
