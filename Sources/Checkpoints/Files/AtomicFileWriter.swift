package import Foundation

/// The end of a file being written by `AtomicFile`; nothing is buffered, so that secrets leave no copy here.
package final class AtomicFileWriter {
  private let file: OpenFile
  /// Bytes written so far.
  package private(set) var offset = 0

  init(_ file: OpenFile) {
    self.file = file
  }

  package func write(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) {
    try file.write(bytes, at: offset)
    offset += bytes.count
  }

  package func write(_ bytes: Data) throws(CheckpointError) {
    let result = bytes.withUnsafeBytes { raw in
      Result { () throws(CheckpointError) in try write(raw) }
    }
    try result.get()
  }
}
