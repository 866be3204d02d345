import Foundation

/// How much more likely a residual near 0 is as noise of a known scale than by chance, from what is seen of chance.
struct Agreement: Sendable {
  /// Of the noise: its standard deviation.
  let scale: Double
  /// ln of noise's density at 0 over chance's.
  let logRatio: Double

  /// Chance's density at 0 is that of the nearest samples: of those within the reach of the noise, or of the `nearest` ones where fewer are.
  /// Values on a lattice, such as distances of fingerprints, then count for no more than the share of rows that agree in them.
  ///
  /// - Parameters:
  ///   - magnitudes: |residual| of pairs taken by chance.
  ///   - population: how many were drawn for them; more than the magnitudes where some cannot agree at all.
  init(magnitudes: some Sequence<Double>, population: Int, scale: Double, nearest: Int = 16) {
    self.scale = scale
    // The uniform density over this reach equals the normal's at 0.
    let reach = (Double.pi / 2).squareRoot() * scale
    var within = 0
    var smallest: [Double] = []
    for magnitude in magnitudes {
      if magnitude <= reach {
        within += 1
      } else if smallest.count < nearest {
        smallest.insert(magnitude, at: smallest.firstIndex { $0 > magnitude } ?? smallest.count)
      } else if let last = smallest.last, magnitude < last {
        smallest.removeLast()
        smallest.insert(magnitude, at: smallest.firstIndex { $0 > magnitude } ?? smallest.count)
      }
    }
    let missing = min(nearest - within, smallest.count)
    let (count, window) = missing > 0 ? (within + missing, smallest[missing - 1]) : (within, reach)
    logRatio = count > 0 ? log(Double(population) * window / (Double(count) * reach)) : 0
  }

  /// ln of the likelihood ratio.
  func callAsFunction(_ residual: Double) -> Double {
    let deviations = residual / scale
    return logRatio - deviations * deviations / 2
  }
}
