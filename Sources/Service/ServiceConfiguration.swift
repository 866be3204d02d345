package import Foundation
package import Protocol

/// What an operator sets of any server.
package struct ServiceConfiguration: Sendable {
  /// Directory for jobs. Plain files and rename only.
  package var store: URL
  /// An owner not heard of for this long is taken for gone; its job is saved and the next one runs.
  package var ownerSilence: Duration
  /// Whose jobs are taken and run, and what each may use.
  package var owners = ServedOwners()
  /// Where what owners do is written down; nil in tests of other things.
  package var eventLog: EventLog?
  /// Where the service counts what it does.
  package let metrics = ServiceMetrics()
  /// Of messages that are read.
  package var limits = WireLimits()
  /// Called before each piece of slow disk work, on the thread that does it; tests make a disk slow with it.
  package var beforeDiskWork: @Sendable () -> Void = {}

  package init(store: URL, ownerSilence: Duration = .seconds(8)) {
    self.store = store
    self.ownerSilence = ownerSilence
  }
}
