import Files
import Foundation
import Numerics
import OwnerRole

/// A site's control variates c_k (scaffold) in `state/`: what they become with each round while its sum is under way, and what they are after each round that
/// the site took part in.
///
/// Files of version 1 had neither a hash nor the number of rounds.
extension SiteDirectory {
  private static var currentVersion: String { "2" }
  private static var tensorName: String { "controls" }

  /// - Parameters:
  ///   - rounds: after which they are: one more than the last round whose sum has this site's update; 0 for none.
  ///   - count: entries of the model.
  /// - Returns: nil while they are all zeros.
  /// - Throws: `SiteError.damaged` for a file that is gone or not what was written; `FileError`.
  func controls(after rounds: Int, count: Int) throws -> [Float]? {
    guard rounds > 0 else { return nil }
    let file = controlsFile(rounds, isPending: false)
    guard let controls = try read(file, rounds) else { throw Self.damaged(file, "is gone") }
    guard controls.count == count else { throw Self.damaged(file, "is of another model") }
    return controls.elements
  }

  /// Keeps what c_k becomes if the update of `round` is in the sum.
  func storePending(_ controls: [Float], round: Int) throws {
    try write(Tensor(controls, shape: [controls.count]), round + 1, to: controlsFile(round + 1, isPending: true))
  }

  /// The sum of a round's updates is done, with or without this site's.
  ///
  /// - Throws: as `controls`, where the update is in it.
  func settle(round: Int, tookPart: Bool) throws {
    let (pending, settled) = (
      controlsFile(round + 1, isPending: true), controlsFile(round + 1, isPending: false)
    )
    if tookPart {
      if let controls = try read(pending, round + 1) {
        try write(controls, round + 1, to: settled)
      } else if try read(settled, round + 1) == nil {
        // Not that a kill came between.
        throw Self.damaged(settled, "is gone")
      }
    }
    try Directory.remove(pending.path)
  }

  private func controlsFile(_ rounds: Int, isPending: Bool) -> URL {
    run.state.appending(path: "controls-\(rounds)\(isPending ? ".pending" : "").safetensors")
  }

  private func write(_ controls: Tensor<Float>, _ rounds: Int, to file: URL) throws {
    try CheckedTensor.write(
      controls, named: Self.tensorName,
      metadata: ["format": "control variates", "version": Self.currentVersion, "rounds": "\(rounds)"], to: file.path)
  }

  /// - Returns: nil for a file that is not there.
  private func read(_ file: URL, _ rounds: Int) throws -> Tensor<Float>? {
    guard RegularFile.exists(file.path) else { return nil }
    do {
      let (tensor, metadata) = try CheckedTensor.read(Self.tensorName, from: file.path)
      guard metadata.isEmpty || metadata["version"] == Self.currentVersion && metadata["rounds"] == "\(rounds)" else {
        throw Self.damaged(file, "is of another round or version")
      }
      return tensor
    } catch FileError.safetensors(_, let problem) {
      throw Self.damaged(file, "holds no control variates (\(problem))")
    } catch FileError.file(_, let problem) {
      throw Self.damaged(file, problem.description)
    }
  }

  private static func damaged(_ file: URL, _ what: String) -> SiteError {
    .damaged(
      path: file.path,
      "\(what): put it back as it was; without it nobody can tell how this site's steps are to be corrected, and it cannot go on"
    )
  }
}
