import Exposure
import Foundation

/// Noise in the size of a job's own data.
struct NoiseAdvice {
  /// As `masking.noise.sigma` allows.
  private static let largest = 1000.0

  let job: JobTraits
  /// Of the plaintext's columns, the root of the mean square.
  let deviation: Double

  /// Noise of `share` deviations, or twice what there is where that is no less already. No change where neither is possible.
  func changes(_ share: Double) -> [String] {
    guard deviation.isFinite, deviation > 0 else { return [] }
    let present = job.noise ?? 0
    var wanted = share * deviation
    var lines: [String] = []
    if wanted > Self.largest {
      // In the units of the file it would be out of range; standardised columns have deviation 1.
      guard job.canStandardize else { return [] }
      lines = ["data.standardize=true"]
      wanted = share
    } else if wanted <= present {
      wanted = 2 * present
    }
    guard let sigma = Double(String(format: "%.2g", min(wanted, Self.largest))), sigma.isNormal,
      sigma > present || !lines.isEmpty
    else { return [] }
    return lines + ["masking.noise.sigma=\(sigma)"]
  }
}
