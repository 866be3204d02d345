import Files
package import Foundation
import Foundations
import Protocol
package import Service

/// What an aggregator's store tells, for `aggregator status`; its JSON form is stable.
package struct FederationReport: Codable, Sendable, Equatable {
  package var store: String
  /// Nil when none is alive.
  package var aggregator: LiveServer?
  /// Nil before the first site has joined.
  package var federation: FederationStatus?
}

/// Reads a store without an aggregator and without writing anything, also while one writes there.
package struct FederationSurvey {
  private let store: URL

  package init(store: URL) {
    self.store = store
  }

  /// - Throws: `StoreError` when there is no store of an aggregator; `AggregatorError.damaged`; `FileError` when it cannot be read.
  package func report() throws -> FederationReport {
    let program = AggregatorConfiguration.program
    guard FileManager.default.fileExists(atPath: store.path), try StoreFormat.check(store, of: program) else {
      throw StoreError.missing(path: store.path)
    }
    var report = FederationReport(store: store.path, aggregator: LiveServer.find(in: store, program: program).server)
    let jobs = StoreFormat.jobs(in: store)
    guard FileManager.default.fileExists(atPath: jobs.path) else { return report }
    for name in try Directory.names(in: jobs.path) where JobID(hex: name) != nil {
      let files = FederationFiles(folder: jobs.appending(path: name))
      guard let bytes = try SmallFile.read(files.sites) else { continue }
      guard var status = try? JSONDecoder().decode(FederationStatus.self, from: bytes), status.isPossible else {
        throw AggregatorError.damagedStatus(path: files.sites)
      }
      if report.aggregator == nil {
        for index in status.sites.indices where status.sites[index].state != .done {
          status.sites[index].state = .away
        }
      }
      report.federation = status
    }
    return report
  }
}
