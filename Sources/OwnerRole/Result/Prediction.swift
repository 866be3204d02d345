import Datasets
import Files
package import Foundation
import Foundations
import JobSpec
import Masking
import Models
package import Numerics
package import Protocol

/// Masked inference with a model, once: a deployment whose only client is its owner and that ends with the connection, asked and taken down.
///
/// The trainer sees weights and samples under a key that is made for this prediction alone and is on no disk. Samples of a job with noise get
/// fresh noise, another each time they are predicted.
package struct Prediction<Element: FloatingElement> {
  private let model: DeployableModel
  private let owner: CurveKeyPair
  private let channel: any OwnerChannel
  private let options: RunOptions

  package init(model: DeployableModel, owner: CurveKeyPair, channel: any OwnerChannel, options: RunOptions) {
    self.model = model
    self.owner = owner
    self.channel = channel
    self.options = options
  }

  /// Writes `predictions` (class ids, 0/1, or values), `probabilities` (where there are classes) and `outputs`, one row per row of
  /// the data.
  ///
  /// - Parameters:
  ///   - data: path of the data.
  ///   - features: where the features or token ids are in it, if not where the training data had them.
  /// - Returns: how many rows there are.
  /// - Throws: `OwnerError.unfitData` when the data does not fit the model; otherwise as a query.
  package func write(
    data: String, features: String?, to file: URL, progress: (Int, Int) -> Void
  ) throws -> Int {
    let source = try QuestionSource(model.questionShape, file: data, features: features)
    let model = try model.taking(tokens: source.longest)
    let id = JobID.random()
    let master = MasterKey(for: id)
    let copy = DeploymentRecord.Copy(keyNumber: 1, job: .random())
    let package = try SealedMasterKey.seal(
      master, number: copy.keyNumber, to: owner.publicKey.bytes, from: try owner.agreement())
    let host = HostedDeployment<Element>(channel: channel, deployment: id, options: options)
    try host.bringIntoForce(
      DeploymentDescription(
        revision: 1,
        clients: [
          .init(key: owner.publicKey.z85, copy: copy.job, keyNumber: copy.keyNumber, package: Data(package))
        ], maximumRows: nil, endsWithOwner: true), copies: [copy], key: { _ in master }, model: { model })
    let client = DeploymentClient<Element>(
      material: try model.material(), deployment: id, own: owner, owner: owner.publicKey, key: master,
      keyNumber: copy.keyNumber, compute: options.compute, keep: { _, _ in })
    var next = 1
    try withoutActuallyEscaping(progress) { progress in
      // Answers that stand alone are of no use to another prediction, which has another key.
      let query = try Query(
        client: client, source: source, data: data, features: features, to: file, isKept: false,
        takeNumbers: { count, _ in
          defer { next += count }
          return next
        },
        observe: { event in
          if case .answered(let rows, let all, _) = event { progress(rows, all) }
        })
      _ = try query.run(over: host.connection(), patience: options.patience, endsWithConnection: true)
    }
    try host.undeploy()
    return source.rows
  }
}
