import Foundation

/// Fourier transforms of the privacy losses of one step of several mechanisms on one grid: any numbers of their steps are
/// composed by powers and one transform back.
///
/// Both directions of adjacency go through the same transform, one as its real part, one as its imaginary part.
struct PrivacyLossSpectra: Sendable {
  let grid: PrivacyLossGrid
  private let transform: FourierTransform
  private let spectra: [Spectrum]

  private struct Spectrum: Sendable {
    var real: [Double]
    var imaginary: [Double]
    let removingShift: Double
    let addingShift: Double
  }

  init(of mechanisms: [SubsampledGaussian], on grid: PrivacyLossGrid) {
    self.grid = grid
    let transform = FourierTransform(count: grid.count)
    self.transform = transform
    spectra = mechanisms.map { mechanism in
      let step = PrivacyLossDistribution(of: mechanism, cell: grid.cell, tail: grid.tail)
      var spectrum = Spectrum(
        real: Array(repeating: 0, count: grid.count), imaginary: Array(repeating: 0, count: grid.count),
        removingShift: step.removingShift, addingShift: step.addingShift)
      let mask = grid.count - 1
      for (offset, mass) in step.with.enumerated() { spectrum.real[(step.first + offset) & mask] += mass }
      for (offset, mass) in step.without.enumerated() { spectrum.imaginary[-(step.first + offset) & mask] += mass }
      transform.forward(&spectrum.real, &spectrum.imaginary)
      return spectrum
    }
  }

  /// The sum of so many losses of each mechanism; `steps` has one number, 0 or above, for each.
  func composed(steps: [Int]) -> ComposedPrivacyLoss {
    var real = [Double](repeating: 0, count: grid.count)
    var imaginary = real
    var energy = (removing: 0.0, adding: 0.0)
    for index in 0..<grid.count {
      let opposite = FourierTransform.opposite(index)
      guard index <= opposite else { continue }
      var (a, b) = (Complex(1, 0), Complex(1, 0))
      for (spectrum, count) in zip(spectra, steps) {
        // F = A + iB with A and B of real sequences: A is the part with F(−k) conjugate to F(k).
        let (x, y) = (spectrum.real[index], spectrum.imaginary[index])
        let (u, v) = (spectrum.real[opposite], spectrum.imaginary[opposite])
        a = a * Complex((x + u) / 2, (y - v) / 2).power(count)
        b = b * Complex((y + v) / 2, (u - x) / 2).power(count)
      }
      (real[index], imaginary[index]) = (a.real - b.imaginary, a.imaginary + b.real)
      (real[opposite], imaginary[opposite]) = (a.real + b.imaginary, b.real - a.imaginary)
      let weight = index == opposite ? 1.0 : 2.0
      energy.removing += weight * a.squaredSize
      energy.adding += weight * b.squaredSize
    }
    transform.inverse(&real, &imaginary)
    let counts = steps.map { Double($0) }
    let shifts = (
      zip(spectra, counts).reduce(0.0) { $0 + $1.0.removingShift * $1.1 },
      zip(spectra, counts).reduce(0.0) { $0 + $1.0.addingShift * $1.1 }
    )
    let total = counts.reduce(0, +)
    return ComposedPrivacyLoss(
      grid: grid, epsilonError: grid.epsilonError(steps: total), removing: .init(masses: real, shift: shifts.0),
      adding: .init(masses: imaginary, shift: shifts.1),
      roundoff: roundoff(steps: total, energy: max(energy.removing, energy.adding)))
  }

  /// What rounding can add to δ: an estimate on the large side, with errors taken as spread evenly over the frequencies. A transform is
  /// off by at most 7 u log₂ n relative to its norm (Higham, "Accuracy and Stability of Numerical Algorithms", 2002, Theorem
  /// 24.2), a power of k steps by k times as much where the spectrum is not small, which `energy`, the squared norm of the powers,
  /// says; a sum of n errors is at most √n times their norm.
  private func roundoff(steps: Double, energy: Double) -> Double {
    8 * steps * (Double.ulpOfOne / 2) * log2(Double(grid.count)) * energy.squareRoot()
  }
}

/// A complex number, as far as powers of spectra need it.
struct Complex: Equatable, Sendable {
  var real: Double
  var imaginary: Double

  init(_ real: Double, _ imaginary: Double) {
    self.real = real
    self.imaginary = imaginary
  }

  var squaredSize: Double { real * real + imaginary * imaginary }

  static func * (a: Self, b: Self) -> Self {
    Self(a.real * b.real - a.imaginary * b.imaginary, a.real * b.imaginary + a.imaginary * b.real)
  }

  /// By repeated squaring; 0 as soon as what is left cannot reach 1e-30, which also keeps subnormal numbers out. The size is
  /// that of a spectrum of masses, at most 1 but for rounding.
  func power(_ exponent: Int) -> Self {
    if exponent == 0 { return Self(1, 0) }
    if squaredSize < 0.5, Double(exponent) * log(squaredSize) < -138 { return Self(0, 0) }
    var (result, base, left) = (Self(1, 0), self, exponent)
    while true {
      if left & 1 == 1 { result = result * base }
      left >>= 1
      if left == 0 { return result }
      base = base * base
      if base.squaredSize < 1e-60 { return Self(0, 0) }
    }
  }
}
