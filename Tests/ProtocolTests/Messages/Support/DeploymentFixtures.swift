import Foundation
import Foundations
import Numerics

@testable import Protocol

/// One message of each kind about deployments.
extension MessageFixtures {
  static let client = DeploymentDescription.Client(
    key: String(repeating: "a", count: 40), copy: job, keyNumber: 52, package: Data([1, 2, 3]))
  static let deployment = DeploymentDescription(revision: 53, clients: [client], maximumRows: 54, endsWithOwner: true)
  static let terms = DeploymentTerms(
    keyNumber: 55, package: Data([4, 5]), window: 56, rowsPerQuestion: 57, maximumTokens: 58, rowsSeen: 59,
    maximumRows: nil, lastQuestion: 60)
  static let status = DeploymentStatus(
    id: job, revision: 61, clients: [.init(key: client.key, keyNumber: 62, questions: 63, rows: 64)], questions: 65,
    rows: 66, maximumRows: 67, storedBytes: 68, memoryBytes: 69, medianMilliseconds: 0.25, slowMilliseconds: nil)

  static let ofDeployments: [OwnerMessage<Float>] = [
    .deployment(.deploy(deployment)), .deployment(.status), .deployment(.list), .deployment(.undeploy),
    .question(.open),
    .question(
      .ask(
        number: 70, keyNumber: 71,
        rows: RowDelivery(
          slots: Tensor([0, 1], shape: [2]), carried: Tensor([1, 1], shape: [2]),
          values: Tensor([1, 2, 3, 4], shape: [2, 2])))),
    .question(
      .extend(session: 72, keyNumber: 73, position: 74, largest: 75, tokens: Tensor([1, 2], shape: [1, 2]))),
    .question(.close(session: 76)),
  ]

  static let answersOfDeployments: [TrainerMessage<Float>] = [
    .deployment(.deployed(status)), .deployment(.list([status])), .deployment(.opened(terms)),
    .deployment(.answered(number: 77, rowsSeen: 78, values: Tensor([1, 2], shape: [2, 1]))),
    .deployment(
      .extended(
        session: 79, position: 80, rowsSeen: 81, indices: Tensor([3, 1], shape: [2]),
        values: Tensor([2, 1], shape: [1, 2]))),
    .deployment(.sessionLost(session: 82)), .deployment(.rekeyed(terms)),
  ]
}
