package interop

import "testing"

// What is missing here, the Go client cannot do: TLS, compact headers, queries, assigning queues.

func TestGo_SendsAndConsumesInOrder(t *testing.T) { sendsAndConsumesInOrder(t, golang) }
func TestGo_SendsInEveryMode(t *testing.T)        { sendsInEveryMode(t, golang) }
func TestGo_FiltersByTag(t *testing.T)            { filtersByTag(t, golang) }
func TestGo_FindsNewTopics(t *testing.T)          { findsNewTopics(t, golang) }
func TestGo_RefusesUnknownTopics(t *testing.T)    { refusesUnknownTopics(t, golang) }
func TestGo_PollsAndContinues(t *testing.T)       { pollsAndContinues(t, golang) }
func TestGo_SharesAndRebalances(t *testing.T)     { sharesAndRebalances(t, golang) }
func TestGo_TakesOverInOrder(t *testing.T)        { takesOverInOrder(t, golang) }
func TestGo_Broadcasts(t *testing.T)              { broadcasts(t, golang) }
func TestGo_ContinuesWhereItWas(t *testing.T)     { continuesWhereItWas(t, golang) }
func TestGo_OutlivesRestarts(t *testing.T)        { outlivesRestarts(t, golang, false) }
func TestGo_OutlivesKills(t *testing.T)           { outlivesRestarts(t, golang, true) }
func TestGo_UsesSecondPort(t *testing.T)          { usesSecondPort(t, golang) }
func TestGo_MeetsOverTwoNamesrvs(t *testing.T)    { meetsOverTwoNamesrvs(t, golang) }
func TestGo_UnderApachesNamesrv(t *testing.T)     { underApachesNamesrv(t, golang, apache) }
func TestGo_OverApachesBroker(t *testing.T)       { overApachesBroker(t, golang, apache) }
func TestGo_MovesBetweenBrokers(t *testing.T)     { movesBetweenBrokers(t, golang) }
func TestGo_ServesFromOneProcess(t *testing.T)    { servesFromOneProcess(t, golang) }
