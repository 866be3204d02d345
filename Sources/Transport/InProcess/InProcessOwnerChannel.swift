/// The owner's end of an `InProcessNetwork`.
package final class InProcessOwnerChannel: OwnerChannel {
  private let network: InProcessNetwork
  private let number: Int

  init(network: InProcessNetwork, number: Int) {
    self.network = network
    self.number = number
  }

  package var isConnected: Bool { network.isConnected(link: number) }

  package func send(_ message: Message) throws(TransportError) {
    try network.send(message, from: number)
  }

  package func receive(timeout: Duration) throws(TransportError) -> Message? {
    try network.receive(link: number, timeout: timeout)
  }

  package func wake() {
    network.wake(link: number)
  }

  package func close() {
    network.close(link: number)
  }
}
