// Package brokers says what a Broker does with an event that it has taken: what it keeps, and
// whether its answer means that the event has been delivered.
package brokers

// Classes of Brokers, as the annotation has them.
const (
	ClassAnnotation = "eventing.knative.dev/broker.class"

	MTChannelBased  = "MTChannelBasedBroker"
	Kafka           = "Kafka"
	KafkaNamespaced = "KafkaNamespaced"
	RabbitMQ        = "RabbitMQBroker"
)

// Kinds of channels that a Broker of class MTChannelBased puts its events into.
const (
	// ChannelAnnotation stands among the annotations of such a Broker's status and names the kind.
	ChannelAnnotation = "knative.dev/channelKind"

	InMemoryChannel      = "InMemoryChannel"
	NATSJetStreamChannel = "NatsJetStreamChannel"
	KafkaChannel         = "KafkaChannel"
)

// Guarantee of a Broker.
type Guarantee struct {
	// Known: something is known of Brokers of its kind.
	Known bool
	// Durable: an event that was taken outlives the Broker's processes.
	Durable bool
	// Says is what people are told.
	Says string
}

// Answers reports that a Broker answers only after its subscribers have: an event that it has taken
// has been delivered, or never will be. Of what is not known the contrary is assumed, so that
// nobody gives an event up that is on its way.
func Answers(class, channel string) bool {
	return class == MTChannelBased && channel == InMemoryChannel
}

const stored = "an event that was taken is stored, and delivered at least once, also when the Broker's processes end meanwhile"

// Of is the guarantee of a Broker; the channel is that of class MTChannelBased.
func Of(class, channel string) Guarantee {
	durable := func(what string) Guarantee { return Guarantee{Known: true, Durable: true, Says: what + ": " + stored} }
	switch {
	case Answers(class, channel):
		return Guarantee{Known: true, Says: "in-memory channel: what its dispatcher holds is lost when that ends. " +
			"The controller starts what was lost from its inbox; a Trigger of yours misses the event"}
	case class == MTChannelBased && channel == NATSJetStreamChannel:
		return durable("NATS JetStream")
	case class == MTChannelBased && channel == KafkaChannel, class == Kafka, class == KafkaNamespaced:
		return durable("Kafka")
	case class == RabbitMQ:
		return durable("RabbitMQ")
	case class == MTChannelBased && channel != "":
		class = "channels of kind " + channel
	}
	return Guarantee{Says: "nothing is known of what " + class + " keeps when its processes end. " +
		"The controller starts what was lost from its inbox; for Triggers of yours ask its documentation"}
}
