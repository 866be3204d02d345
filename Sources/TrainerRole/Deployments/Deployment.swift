import Files
import Foundation
import Foundations
import Models
import Protocol
import Service

/// A deployment as the service thread knows it.
final class Deployment {
  let id: JobID
  /// Nil where its files are too damaged to tell.
  let owner: OwnerKey?
  private(set) var description: DeploymentDescription
  /// By key.
  private(set) var clients: [OwnerKey: DeploymentDescription.Client] = [:]
  private(set) var book: QuestionBook
  /// The file that is damaged; nil while it can be served.
  private(set) var damagedFile: String?
  private(set) var isLogDamaged = false
  /// The connection that deployed it last; nil after a restart.
  var maker: PeerID?
  var latencies = Latencies()
  private var log: LineLog?
  /// Whether lines were written that may not be on the disk yet.
  private var isUnsynced = false

  /// Of a deployment that was just written.
  init(_ id: JobID, owner: OwnerKey, _ description: DeploymentDescription) {
    self.id = id
    self.owner = owner
    self.description = description
    book = QuestionBook()
    putInForce(description)
  }

  /// Of one in the store. A damaged one answers its clients, as far as they are known, that it is.
  init(_ loaded: LoadedDeployment) {
    id = loaded.id
    owner = loaded.owner
    book = loaded.book
    damagedFile = loaded.damagedFile
    isLogDamaged = loaded.isLogDamaged
    description =
      loaded.description ?? DeploymentDescription(revision: 0, clients: [], maximumRows: nil, endsWithOwner: false)
    putInForce(description)
  }

  /// Keys that may ask, or may ask to hear that they cannot.
  var admitted: Set<OwnerKey> {
    damagedFile == nil ? Set(clients.keys) : Set(clients.keys).union(book.askers)
  }

  func putInForce(_ description: DeploymentDescription) {
    self.description = description
    clients = Dictionary(
      description.clients.compactMap { client in OwnerKey(z85: client.key).map { ($0, client) } },
      uniquingKeysWith: { first, _ in first })
  }

  // MARK: - Counting

  /// Where counted questions are written from now on; a damaged deployment is whole with it.
  func open(_ log: LineLog) {
    self.log = log
    damagedFile = nil
    isLogDamaged = false
  }

  /// Writes down what is about to be answered.
  ///
  /// - Throws: `ServiceError` of kind `.exhausted` when it cannot be: then it is not to be answered.
  func count(_ record: QuestionRecord) throws {
    do {
      guard let log else { throw ServiceError(.defect, "its log is not open") }
      try log.append(record.text)
    } catch {
      throw ServiceError(
        .exhausted, "the trainer cannot write down that it answers this question; ask its operator", cause: .exhausted)
    }
    isUnsynced = true
    _ = book.add(record)
  }

  /// What is to be synced, once.
  func takeUnsynced() -> LineLog? {
    guard isUnsynced else { return nil }
    isUnsynced = false
    return log
  }

  // MARK: - What is told

  func terms(for key: OwnerKey, _ client: DeploymentDescription.Client, copy: JobDescription, window: Int)
    -> DeploymentTerms
  {
    DeploymentTerms(
      keyNumber: client.keyNumber, package: client.package, window: window, rowsPerQuestion: copy.microBatch,
      maximumTokens: copy.graph.maximumTokens, rowsSeen: book.rows, maximumRows: description.maximumRows,
      lastQuestion: book.lastQuestion(of: key), lastSession: book.lastSession(of: key))
  }

  func status(storedBytes: Int, memoryBytes: Int) -> DeploymentStatus {
    DeploymentStatus(
      id: id, revision: description.revision,
      clients: description.clients.map { client in
        let key = OwnerKey(z85: client.key)
        return DeploymentStatus.Client(
          key: client.key, keyNumber: client.keyNumber, questions: key.map(book.questions) ?? 0,
          rows: key.map(book.rows) ?? 0)
      },
      questions: book.questions, rows: book.rows, maximumRows: description.maximumRows, storedBytes: storedBytes,
      memoryBytes: memoryBytes, medianMilliseconds: latencies.quantile(0.5), slowMilliseconds: latencies.quantile(0.95))
  }
}

/// How long the last thousand answers took.
struct Latencies {
  private static let kept = 1000

  private var milliseconds: [Double] = []
  private var next = 0
  /// Of all.
  private(set) var seconds = 0.0
  private(set) var count = 0

  mutating func add(_ duration: Duration) {
    let elapsed = duration / .milliseconds(1)
    if milliseconds.count < Self.kept {
      milliseconds.append(elapsed)
    } else {
      milliseconds[next] = elapsed
      next = (next + 1) % Self.kept
    }
    seconds += elapsed / 1000
    count += 1
  }

  /// In milliseconds: the least that as large a part of them as `part` does not exceed; nil where there are none.
  func quantile(_ part: Double) -> Double? {
    guard !milliseconds.isEmpty else { return nil }
    let place = Int((part * Double(milliseconds.count)).rounded(.up)) - 1
    return milliseconds.sorted()[min(max(place, 0), milliseconds.count - 1)]
  }
}
