internal import Cryptography
package import Models
package import Numerics

/// Secret Gaussian noise on a job's inputs, added before they are masked.
///
/// A row has the same noise every time it is sent, whatever block it is read in and after any resume: an average over epochs gains
/// nothing. A row's stream is a substream of the job's, so that drawing one costs no key derivation. The noise is not zeroed when
/// freed, no more than the rows themselves are.
package struct InputNoise: Sendable {
  /// What rows are noised for: each has noise of its own.
  package enum Purpose: String, Sendable {
    /// Training and validation; rows are numbered by slot.
    case training
    /// Rows to predict, under a master key made for them; numbered as in their file.
    case prediction
  }

  /// Rows a thread draws at a time.
  private static let rowsInPiece = 64

  private let deviation: Double
  private let streams: @Sendable (_ row: Int) -> KeyStream

  /// Nil where the job has no noise.
  ///
  /// - Parameter master: of the job; the strength of its masking does not matter.
  package init?(_ masking: MaskingDescription, master: MasterKey, for purpose: Purpose) {
    guard let deviation = masking.noise else { return nil }
    self.deviation = deviation
    streams = master.stream(SpaceID("noise"), kind: purpose.rawValue).substreams()
  }

  /// Adds each row's noise to it, rounding the sum to nearest.
  ///
  /// - Parameters:
  ///   - rows: `[n, d]`.
  ///   - numbers: n numbers of rows; a negative one leaves its row as it is.
  /// - Throws: `MaskingError.shape` unless each row has a number, so that no row is sent without noise.
  package func add<Element: FloatingElement>(
    to rows: inout Tensor<Element>, numbers: [Int32], workers: Workers
  ) throws {
    let (count, width) = (rows.rows, rows.columns)
    guard numbers.count == count else {
      throw MaskingError.shape(what: "the numbers of rows to noise", expected: [count], found: [numbers.count])
    }
    rows.withUnsafeMutableBufferPointer { values in
      // Safe to share: every piece writes rows of its own.
      nonisolated(unsafe) let values = values
      let pieces = (count + Self.rowsInPiece - 1) / Self.rowsInPiece
      workers.perform(pieces: pieces, scratch: width, of: Double.self) { piece, memory in
        let drawn = UnsafeMutableBufferPointer(start: memory, count: width)
        for row in piece * Self.rowsInPiece..<min(count, (piece + 1) * Self.rowsInPiece) where numbers[row] >= 0 {
          draw(from: streams(Int(numbers[row])), drawn, into: values, row: row)
        }
      }
    }
  }

  /// Adds noise to the tokens of samples: each token's by its place in its sample, so that the order of sending decides nothing, and
  /// the same token at two places has two vectors.
  ///
  /// - Parameters:
  ///   - tokens: `[n, d]`, sample after sample.
  ///   - samples: the number of each sample, at least 0, and the places of its tokens in the order they stand in `tokens`.
  /// - Throws: `MaskingError.shape` unless the samples' tokens are those of `tokens`, each place of a sample once, so that no token is sent
  ///   without noise.
  package func add<Element: FloatingElement>(
    to tokens: inout Tensor<Element>, samples: [(number: Int32, places: [Int])], workers: Workers
  ) throws {
    let width = tokens.columns
    var firsts: [Int] = []
    var next = 0
    for sample in samples {
      firsts.append(next)
      next += sample.places.count
      let places = Set(sample.places.filter(sample.places.indices.contains))
      guard places.count == sample.places.count else {
        throw MaskingError.shape(
          what: "the places of a sample's tokens to noise", expected: [sample.places.count], found: [places.count])
      }
    }
    guard next == tokens.rows else {
      throw MaskingError.shape(what: "the tokens to noise", expected: [tokens.rows], found: [next])
    }
    let starts = firsts
    tokens.withUnsafeMutableBufferPointer { values in
      // Safe to share: every piece writes the tokens of its own sample.
      nonisolated(unsafe) let values = values
      workers.perform(pieces: samples.count, scratch: width, of: Double.self) { piece, memory in
        let drawn = UnsafeMutableBufferPointer(start: memory, count: width)
        let sample = samples[piece]
        var rowOfPlace = [Int](repeating: 0, count: sample.places.count)
        for (row, place) in sample.places.enumerated() { rowOfPlace[place] = starts[piece] + row }
        let stream = streams(Int(sample.number))
        for row in rowOfPlace { draw(from: stream, drawn, into: values, row: row) }
      }
    }
  }

  /// The noise of a text's tokens, as they come one after the other: that of a sample's tokens, place by place.
  ///
  /// - Parameter sample: the text's number, at least 0.
  package func ofTokens(sample: Int) -> TokenNoise {
    TokenNoise(deviation: deviation, stream: streams(sample))
  }

  private func draw<Element: FloatingElement>(
    from stream: KeyStream, _ drawn: UnsafeMutableBufferPointer<Double>,
    into values: UnsafeMutableBufferPointer<Element>, row: Int
  ) {
    Self.draw(deviation, from: stream, drawn, into: values, row: row)
  }

  fileprivate static func draw<Element: FloatingElement>(
    _ deviation: Double, from stream: KeyStream, _ drawn: UnsafeMutableBufferPointer<Double>,
    into values: UnsafeMutableBufferPointer<Element>, row: Int
  ) {
    stream.fillGaussian(drawn)
    let first = row * drawn.count
    for column in drawn.indices {
      values[first + column] = Element(Double(values[first + column]) + deviation * drawn[column])
    }
  }
}

/// Noise of a text whose tokens are not all known yet. One reader at a time: not sendable.
package final class TokenNoise {
  private let deviation: Double
  private let stream: KeyStream

  init(deviation: Double, stream: KeyStream) {
    self.deviation = deviation
    self.stream = stream
  }

  /// Adds their noise to the tokens that follow those of the call before.
  ///
  /// - Parameter tokens: `[n, d]`.
  package func add<Element: FloatingElement>(to tokens: inout Tensor<Element>) {
    let (count, width) = (tokens.rows, tokens.columns)
    tokens.withUnsafeMutableBufferPointer { values in
      withUnsafeTemporaryAllocation(of: Double.self, capacity: width) { drawn in
        for row in 0..<count { InputNoise.draw(deviation, from: stream, drawn, into: values, row: row) }
      }
    }
  }
}
