package import struct Foundation.Data

/// One multipart message: 1 or more frames, delivered whole or not at all, in the order sent on one connection.
///
/// Frames that arrived over ZeroMQ keep the library's own buffer; nothing is promised about the alignment of their first
/// byte, so read numbers with unaligned loads or copy them out.
package typealias Message = [Data]
