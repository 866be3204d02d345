import Foundation

/// The discrete Fourier transform of a power of two of complex numbers in Double, radix 2. It exists here because the
/// libraries at hand compute in float only or are under the GPL.
///
/// Forward takes natural order to bit-reversed order, inverse takes that back: what lies between works entry by entry, and
/// nothing is permuted. Sums run in a fixed order, so results do not depend on threads.
struct FourierTransform: Sendable {
  let count: Int
  /// exp(−2πi j/(2h)) for j < h at h + j, for every half h of a stage: each stage reads its roots one after the other.
  private let cosines: [Double]
  private let sines: [Double]

  /// `count` is a power of two from 2 to 2^30.
  init(count: Int) {
    precondition(count >= 2 && count <= 1 << 30 && count & (count - 1) == 0, "not a power of two")
    self.count = count
    var cosines = [Double](repeating: 0, count: count)
    var sines = cosines
    let half = count / 2
    for j in 0..<half {
      let angle = -2 * Double.pi * Double(j) / Double(count)
      cosines[half + j] = cos(angle)
      sines[half + j] = sin(angle)
    }
    var stage = half / 2
    while stage >= 1 {
      for j in 0..<stage {
        cosines[stage + j] = cosines[2 * stage + 2 * j]
        sines[stage + j] = sines[2 * stage + 2 * j]
      }
      stage /= 2
    }
    self.cosines = cosines
    self.sines = sines
  }

  /// The entry of the bit-reversed spectrum that holds frequency −k where `index` holds k: all bits below the highest one set
  /// are turned, because in natural order those are the bits above the lowest one set.
  static func opposite(_ index: Int) -> Int {
    index < 2 ? index : index ^ (1 << (Int.bitWidth - 1 - index.leadingZeroBitCount) - 1)
  }

  /// X_k = Σ_j x_j exp(−2πi jk/n), in place.
  func forward(_ real: inout [Double], _ imaginary: inout [Double]) {
    withParts(&real, &imaginary) { re, im, c, s in Self.decimate(re, im, c, s, start: 0, size: count) }
  }

  /// x_j = 1/n Σ_k X_k exp(2πi jk/n), in place.
  func inverse(_ real: inout [Double], _ imaginary: inout [Double]) {
    withParts(&real, &imaginary) { re, im, c, s in
      Self.assemble(re, im, c, s, start: 0, size: count)
      let scale = 1 / Double(count)
      for index in 0..<count {
        re[index] *= scale
        im[index] *= scale
      }
    }
  }

  private typealias Values = UnsafeMutableBufferPointer<Double>
  private typealias Roots = UnsafeBufferPointer<Double>

  /// Buffers, not arrays, so that the inner loops become vector instructions. They do not leave this call, and every index is
  /// below `count`, which is the length of all four.
  private func withParts(
    _ real: inout [Double], _ imaginary: inout [Double], _ body: (Values, Values, Roots, Roots) -> Void
  ) {
    precondition(real.count == count && imaginary.count == count, "not the size of the transform")
    real.withUnsafeMutableBufferPointer { re in
      imaginary.withUnsafeMutableBufferPointer { im in
        cosines.withUnsafeBufferPointer { c in sines.withUnsafeBufferPointer { s in body(re, im, c, s) } }
      }
    }
  }

  /// Decimation in frequency: first this stage, then both halves, each while it is still in the cache.
  private static func decimate(
    _ re: Values, _ im: Values, _ cosines: Roots, _ sines: Roots, start: Int, size: Int
  ) {
    let half = size / 2
    for j in 0..<half {
      let (a, b) = (start &+ j, start &+ half &+ j)
      let (dr, di) = (re[a] - re[b], im[a] - im[b])
      let (c, s) = (cosines[half &+ j], sines[half &+ j])
      re[a] += re[b]
      im[a] += im[b]
      re[b] = dr * c - di * s
      im[b] = dr * s + di * c
    }
    guard half > 1 else { return }
    decimate(re, im, cosines, sines, start: start, size: half)
    decimate(re, im, cosines, sines, start: start &+ half, size: half)
  }

  /// Decimation in time with the conjugate roots: both halves, then this stage.
  private static func assemble(
    _ re: Values, _ im: Values, _ cosines: Roots, _ sines: Roots, start: Int, size: Int
  ) {
    let half = size / 2
    if half > 1 {
      assemble(re, im, cosines, sines, start: start, size: half)
      assemble(re, im, cosines, sines, start: start &+ half, size: half)
    }
    for j in 0..<half {
      let (a, b) = (start &+ j, start &+ half &+ j)
      let (c, s) = (cosines[half &+ j], sines[half &+ j])
      let (tr, ti) = (re[b] * c + im[b] * s, im[b] * c - re[b] * s)
      re[b] = re[a] - tr
      im[b] = im[a] - ti
      re[a] += tr
      im[a] += ti
    }
  }
}
