package import Cryptography
package import Numerics

/// Secret Gaussian noise that can be drawn again: from a 256-bit secret, what the numbers are for, and nothing else.
///
/// The same secret and label give the same bits in any process, so that a step or a round that is repeated after a kill has the noise it had.
/// **A label must never serve two different values**: their difference would be without noise. Whoever adds noise to something that could be
/// computed twice with different results binds the label to it, by a hash.
///
/// Numbers are HKDF, ChaCha20 and Box–Muller in double precision, `KeyStream.fillLongTailedGaussian` from substream i for elements
/// 4096·i ..< 4096·(i + 1), rounded once where they are added. They are not zeroed when freed.
package struct NoiseSource: Sendable {
  /// Elements that one substream is for.
  private static let chunk = 4096

  private let secret: SecretBuffer
  private let context: String

  /// - Parameters:
  ///   - secret: 32 bytes from the system's generator.
  ///   - context: what the secret's noise is of, a part of every label: a job, or a site of a federation.
  package init(secret: SecretBuffer, context: String) {
    self.secret = secret
    self.context = context
  }

  /// Adds independent normal numbers to `elements`.
  ///
  /// - Parameters:
  ///   - deviation: their standard deviation, in units of the elements; 0 adds nothing.
  ///   - label: what exactly they are added to.
  package func add<Element: FloatingElement>(
    deviation: Double, label: String, to elements: UnsafeMutableBufferPointer<Element>, workers: Workers
  ) {
    guard deviation > 0, let base = elements.baseAddress else { return }
    let streams = KeyStream(secret: secret, label: "noise/\(context)/\(label)").substreams()
    let (count, chunk) = (elements.count, Self.chunk)
    // Safe to share: every piece writes elements of its own.
    nonisolated(unsafe) let target = base
    workers.perform(pieces: (count + chunk - 1) / chunk, scratch: chunk, of: Double.self) { piece, memory in
      let range = piece * chunk..<min(count, (piece + 1) * chunk)
      let drawn = UnsafeMutableBufferPointer(start: memory, count: range.count)
      streams(piece).fillLongTailedGaussian(drawn)
      for (index, number) in zip(range, drawn) {
        target[index] = Element(Double(target[index]) + deviation * number)
      }
    }
  }
}

/// The noise of differentially private steps (Abadi et al., 2016, algorithm 1): σC/B on every entry of every trained parameter's gradient,
/// drawn for each step and parameter by itself.
package struct GaussianNoise<Element: FloatingElement>: GradientCorrection {
  private let source: NoiseSource
  private let deviation: Double
  private let workers: Workers

  /// - Parameter deviation: σC/B, in units of a gradient's entry.
  package init(_ source: NoiseSource, deviation: Double, workers: Workers) {
    self.source = source
    self.deviation = deviation
    self.workers = workers
  }

  /// - Parameters:
  ///   - noiseMultiplier: σ, at least 0.
  ///   - clipping: C and B.
  package init(_ source: NoiseSource, noiseMultiplier: Double, clipping: SampleClipping, workers: Workers) {
    self.init(source, deviation: noiseMultiplier * clipping.clipNorm / clipping.expectedBatch, workers: workers)
  }

  package func add(
    _ number: Int, step: Int, weights: UnsafeBufferPointer<Element>,
    to gradient: UnsafeMutableBufferPointer<Element>
  ) {
    source.add(deviation: deviation, label: "step \(step)/parameter \(number)", to: gradient, workers: workers)
  }
}
