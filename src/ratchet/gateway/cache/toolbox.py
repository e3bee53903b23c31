"""Tools and what people say when they want them: what a choice by distance begins with, before it has verdicts of its own.

Sets of tools with descriptions as apps write them, and for each tool sentences that name it plainly, in other words, or
hardly at all. Written for this purpose; nothing of it is anybody's traffic.
"""

from __future__ import annotations

__all__ = ["TOOLBOX"]

TOOLBOX: dict[str, dict[tuple[str, str], tuple[str, ...]]] = {
    "shop": {
        ("get_order", "Look up an order by its number: state, items and delivery date."): (
            "Where is my order 4711?",
            "what's the status of order number 88",
            "Has my parcel been shipped yet?",
            "When will the things I ordered arrive?",
            "Look up order 1022 please",
            "which items are in my last order",
            "I ordered a lamp a week ago and nothing came",
        ),
        ("cancel_order", "Cancel an order that has not been shipped."): (
            "Cancel my order 4711",
            "please stop the order, I don't want it any more",
            "I changed my mind, cancel it before it is shipped",
            "undo the purchase I just made",
            "can you call off order 12",
            "I bought this by mistake, don't send it",
        ),
        ("search_products", "Search the catalogue of products by words, price and colour."): (
            "Do you have red shoes under 50 euros?",
            "search for a waterproof jacket",
            "find me products for cleaning windows",
            "show me lamps in green",
            "what kinds of backpacks do you sell",
            "I am looking for a gift for a gardener",
        ),
        ("start_return", "Start a return of items and make a shipping label for sending them back."): (
            "I want to return these boots",
            "make me a return label",
            "how do I send back two items",
            "the shirt does not fit, I'd like to give it back",
            "start a return for order 99",
            "it arrived broken, take it back",
        ),
        ("human_agent", "Hand the conversation over to a human agent of customer support."): (
            "let me talk to a human",
            "I want to speak to an agent",
            "connect me with customer support please",
            "get me a real person",
            "this bot is useless, I need somebody from your team",
        ),
    },
    "assistant": {
        ("get_weather", "Get the weather forecast for a city and a day."): (
            "What's the weather in Paris?",
            "will it rain in Oslo tomorrow",
            "weather forecast for Madrid on Friday",
            "Do I need an umbrella today?",
            "how hot does it get in Rome this week",
            "temperature in Berlin right now",
        ),
        ("create_event", "Create an event in the calendar with title, date and time."): (
            "Put lunch with Anna into my calendar on Monday at noon",
            "create an event for the team meeting tomorrow at 9",
            "schedule a call with Bob for Thursday",
            "block my calendar on Friday afternoon",
            "add the dentist appointment on the 12th",
            "arrange a meeting with the designers next week",
        ),
        ("send_email", "Send an email to a person with subject and body."): (
            "Send an email to Anna about the budget",
            "write Bob a mail that I am late",
            "email the report to the whole team",
            "mail my landlord that the heating is broken",
            "reply to Carla that I agree",
        ),
        ("set_timer", "Set a timer or alarm for a number of minutes or a time."): (
            "set a timer for 10 minutes",
            "wake me up at 7",
            "start an alarm at half past six",
            "remind me in 20 minutes to take the cake out",
            "countdown of five minutes please",
        ),
        ("play_music", "Play music: a song, an artist, an album or a playlist."): (
            "play some jazz music",
            "put on the new album by Adele",
            "I want to hear my workout playlist",
            "play the song Yesterday",
            "some background music for dinner please",
        ),
    },
    "bank": {
        ("get_balance", "Get the balance of an account."): (
            "What is my account balance?",
            "how much money is in my savings account",
            "show the balance please",
            "how much do I have left",
            "am I in the red",
        ),
        ("transfer_money", "Transfer money from one account to another person or account."): (
            "Transfer 50 euros to Anna",
            "send 200 to my savings account",
            "wire the rent to my landlord",
            "pay Bob back the 20 I owe him",
            "move money from checking to savings",
        ),
        ("list_transactions", "List the transactions of an account in a period."): (
            "Show me my transactions of last month",
            "list all payments since Monday",
            "what did I spend on restaurants in May",
            "which transactions were made with my account yesterday",
            "show what went out this week",
        ),
        ("block_card", "Block a credit or debit card that was lost or stolen."): (
            "I lost my credit card, block it",
            "my debit card was stolen",
            "please lock the card that ends in 22",
            "block my card at once",
            "somebody took my wallet with the card in it",
        ),
        ("find_atm", "Find the nearest cash machines (ATM) or branches of the bank."): (
            "Where is the nearest ATM?",
            "find a cash machine near the station",
            "is there a branch of the bank around here",
            "where can I get cash",
            "nearest bank branch in Leeds",
        ),
    },
    "developer": {
        ("run_tests", "Run the test suite of the repository and report failures."): (
            "run the tests",
            "execute the test suite and tell me what fails",
            "are all tests green",
            "please check whether the unit tests pass",
            "run pytest in the repository",
        ),
        ("search_code", "Search the code of the repository for a text or a symbol."): (
            "where is the function parse_date defined",
            "search the code for TODO",
            "find all uses of the class Session",
            "grep the repository for this error message",
            "in which file do we read the settings",
        ),
        ("create_issue", "Create an issue in the tracker with a title and a description."): (
            "create an issue: login fails on Safari",
            "open a ticket in the tracker about the slow start",
            "file a bug for the crash",
            "make an issue with the title Update docs",
            "report this problem in the tracker",
        ),
        ("deploy", "Deploy a version to an environment such as staging or production."): (
            "deploy version 2.3 to production",
            "roll out the current version to staging",
            "ship it to the production environment",
            "deploy the fix please",
            "put the new version live",
        ),
        ("read_logs", "Read the logs of a service in a period of time."): (
            "show me the logs of the payment service",
            "read the last 100 lines of the log",
            "what do the service logs say since noon",
            "look into the gateway's logs",
            "why did the worker crash last night",
        ),
    },
    "travel": {
        ("search_flights", "Search flights between two airports on a date."): (
            "Find flights from Berlin to Rome on 3 May",
            "I want to fly to Lisbon next week",
            "cheapest flight to New York in June",
            "are there direct flights between Oslo and Nice",
            "search a plane to Madrid",
        ),
        ("book_hotel", "Book a room in a hotel for some nights."): (
            "Book a hotel in Vienna for two nights",
            "I need a room from Friday to Sunday",
            "reserve a double room at the Ritz",
            "book a hotel near the beach",
            "we need somewhere to sleep in Porto",
        ),
        ("rent_car", "Rent a car at a place for some days."): (
            "rent a car in Malaga for a week",
            "I need a rental car at the airport",
            "get me a small car for three days",
            "hire a van in Leeds",
            "we would like to drive ourselves there",
        ),
        ("check_visa", "Check whether a traveller needs a visa or passport for a country."): (
            "Do I need a visa for India?",
            "which papers do I need for Brazil",
            "is my passport enough to travel to Egypt",
            "check the visa rules for Vietnam",
            "can I enter Japan without a visa",
        ),
        ("convert_currency", "Convert an amount of money between two currencies."): (
            "How much is 100 dollars in euros?",
            "convert 50 pounds to yen",
            "what's the exchange rate of the Swiss franc",
            "20 euros in Danish crowns",
            "currency conversion from USD to INR",
        ),
    },
    "home": {
        ("set_light", "Turn lights on or off and set their brightness and colour in a room."): (
            "turn on the lights in the kitchen",
            "lights off in the bedroom",
            "make the living room light blue",
            "dim the lights to 20 percent",
            "it's too dark in here",
        ),
        ("set_heating", "Set the temperature of the heating in a room."): (
            "set the heating to 21 degrees",
            "make the bathroom warmer",
            "turn the heating down in the bedroom",
            "temperature in the living room to 19 please",
            "I am freezing",
        ),
        ("lock_door", "Lock or unlock the doors of the house."): (
            "lock the front door",
            "is the garage door locked",
            "unlock the door for the plumber",
            "close up the house for the night, lock all doors",
            "open the back door",
        ),
        ("start_vacuum", "Start or stop the robot vacuum cleaner."): (
            "start the vacuum cleaner",
            "let the robot clean the hall",
            "stop vacuuming",
            "vacuum the living room please",
            "there are crumbs all over the floor",
        ),
        ("show_camera", "Show the picture of a security camera."): (
            "show me the camera at the front door",
            "who is at the gate",
            "open the garden camera",
            "security camera of the garage please",
            "what's going on in the driveway",
        ),
    },
}
